"""Datasets to folders of files that other programs read, and back: `cldm convert`.

    dataset file or folder -> SampleSource -> dataset file or folder

`formats.py` is the table of folders, `table.py` the two files beside the images that make the way back whole.
"""
