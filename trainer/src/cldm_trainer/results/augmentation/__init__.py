"""Do generated images help a segmenter that has few real ones?"""
