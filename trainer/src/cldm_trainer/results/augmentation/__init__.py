"""Do generated images help a segmenter that has few slices?"""
