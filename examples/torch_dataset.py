"""A samples.h5 as a dataset of torch, read by several workers. Run it from the root of the repository:

    python examples/torch_dataset.py out/samples.h5
"""

import os
import sys

import torch
from torch.utils.data import DataLoader, Dataset

from cldm_runtime import open_dataset


class Samples(Dataset):
    """image (C, H, W) float32 and mask (H, W) uint8 of every row."""

    def __init__(self, path: str) -> None:
        self.path, self.process = path, 0
        with open_dataset(path) as dataset:
            self.length = len(dataset)

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, row: int) -> dict[str, torch.Tensor]:
        if self.process != os.getpid():  # in each worker: HDF5 files cannot be shared by processes
            self.process, self.opened = os.getpid(), open_dataset(self.path)
        return {name: torch.from_numpy(array) for name, array in self.opened[row].items()}


if __name__ == "__main__":
    loader = DataLoader(Samples(sys.argv[1]), batch_size=8, shuffle=True, num_workers=2)
    for number, batch in enumerate(loader):
        print(f"batch {number}: images {tuple(batch['image'].shape)}, mean {batch['image'].mean():.3f}, "
              f"labels {batch['mask'].unique().tolist()}")
