"""DICOM: series of images as volumes, segmentations and contours as label maps, and samples of a dataset as DICOM."""
