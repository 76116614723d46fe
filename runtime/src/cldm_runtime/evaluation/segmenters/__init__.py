"""Every form of segmenter behind one interface: bundles, ONNX files, functions, commands, folders of predictions."""
