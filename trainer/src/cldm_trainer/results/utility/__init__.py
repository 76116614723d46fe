"""Are generated images of use: does a segmenter learn from them what it learns from the cohort's?"""
