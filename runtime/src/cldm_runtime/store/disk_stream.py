"""The file that HDF5 writes to. It hides disk errors from HDF5 and keeps them for the writer.

HDF5 writes its buffers whenever an object is closed, also while Python frees objects, where no error can be raised. If
that fails, data is lost silently, objects stay half open, and the program may crash when it ends. So this stream keeps
the first error, for the writer to raise, and keeps all later data in memory: HDF5 sees no error until the file is
closed and deleted.
"""

import os
from pathlib import Path
from typing import Any


class DiskStream:
    """A new file, opened for reading and writing, for `h5py.File(stream, "w")`.

    failure: the first error of the disk, or None. Raises OSError if the file cannot be made.
    """

    def __init__(self, path: Path) -> None:
        self.failure: OSError | None = None
        self._file = path.open("w+b", buffering=0)
        self._position = 0
        self._unwritten: list[tuple[int, bytes]] = []  # (offset, data) since the failure

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._position = offset + (self._end() if whence == os.SEEK_END else 0)
        return self._position

    def tell(self) -> int:
        return self._position

    def write(self, data: Any) -> int:
        offset, rest = self._position, memoryview(data)
        self._position += len(rest)
        try:
            while self.failure is None and rest:
                self._file.seek(offset)
                count = self._file.write(rest)
                offset, rest = offset + count, rest[count:]
        except OSError as error:
            self.failure = error
        if rest:
            self._unwritten.append((offset, bytes(rest)))
        return len(data)

    def read(self, size: int) -> bytes:
        data = bytearray(size)
        self.readinto(data)
        return bytes(data)

    def readinto(self, buffer: Any) -> int:
        """Fills the whole buffer; with zeros where no data was written."""
        start, view = self._position, memoryview(buffer)
        self._file.seek(start)
        count = self._file.readinto(view)
        view[count:] = bytes(len(view) - count)
        for offset, data in self._unwritten:
            low, high = max(start, offset), min(start + len(view), offset + len(data))
            if low < high:
                view[low - start:high - start] = data[low - offset:high - offset]
        self._position += len(view)
        return len(view)

    def truncate(self, size: int) -> int:
        try:
            if self.failure is None:
                self._file.truncate(size)
        except OSError as error:
            self.failure = error
        return size

    def flush(self) -> None:
        """There is no buffer."""

    def close(self) -> None:
        self._file.close()

    def _end(self) -> int:
        return max([os.fstat(self._file.fileno()).st_size, *(offset + len(data) for offset, data in self._unwritten)])
