"""Does testing segmenters on synthetic images predict testing them on the reference?"""
