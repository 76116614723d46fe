"""From torch to ONNX and back."""
