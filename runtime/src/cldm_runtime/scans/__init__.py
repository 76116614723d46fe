"""From scans on disk to a dataset file: readers of image files, the nnU-Net raw layout, preparing, phantom cohorts.
And datasets as files of other programs: `conversion/`."""
