"""podman for tests: images and settings in a folder of their own, so that those of the machine are left alone."""

import os
import resource
import shutil
import subprocess
from pathlib import Path

import pytest

USER = "65532:65532"  # an ordinary user, where the tests are run by root
_STORAGE = '[storage]\ndriver = "overlay"\ngraphroot = "{folder}/images"\nrunroot = "{folder}/run"\n'
# Without cap_sys_resource, which root may lack, no limit may be above the present one, as podman's defaults are.
_SETTINGS = ('[engine]\nruntime = "{runtime}"\ntmp_dir = "{folder}/tmp"\n[containers]\n'
             'default_ulimits = ["nofile={files}:{files}", "nproc={processes}:{processes}"]\n')


class Engine:
    """Runs commands whose podman keeps everything in `folder`. Skips the test, with the reason, where none can run."""

    def __init__(self, folder: Path, path: str) -> None:
        """path: PATH of the commands."""
        missing = [name for name in ("podman", "mmdebstrap") if shutil.which(name) is None]
        if missing:
            pytest.skip(f"{', '.join(missing)}: not installed. Run as root: apt-get install podman mmdebstrap runc")
        self.folder = folder
        # A build of its own needs no container: a change of the root directory is enough, where no more is allowed.
        self.environment = {**os.environ, "PATH": path, "BUILDAH_ISOLATION": "chroot", "CONTAINERS_CONF":
                            f"{folder}/containers.conf", "CONTAINERS_STORAGE_CONF": f"{folder}/storage.conf",
                            **({"RUN_AS": USER} if os.geteuid() == 0 else {})}
        (folder / "storage.conf").write_text(_STORAGE.format(folder=folder))
        (folder / "containers.conf").touch()

    def run(self, *command: object, **variables: str) -> "subprocess.CompletedProcess[str]":
        """The end of `command`, whatever its status."""
        return subprocess.run([str(word) for word in command], env={**self.environment, **variables},
                              capture_output=True, text=True, check=False)

    def start(self, image: str) -> None:
        """Settles on a runtime that starts a container of `image`. Of Debian's, crun refuses mixed control groups."""
        limits = {"files": min(4096, resource.getrlimit(resource.RLIMIT_NOFILE)[0]),
                  "processes": min(4096, resource.getrlimit(resource.RLIMIT_NPROC)[0])}
        tried = []
        for runtime in filter(shutil.which, ("crun", "runc")):
            settings = _SETTINGS.format(folder=self.folder, runtime=runtime, **limits)
            (self.folder / "containers.conf").write_text(settings)
            done = self.run("podman", "run", "--rm", "--network", "none", image, "true")
            if done.returncode == 0:
                return
            tried.append(f"{runtime}: {done.stderr.strip()}")
        pytest.skip(f"no container starts here. {'; '.join(tried)}")

    def close(self) -> None:
        """Removes all images, and what the engine holds of the folder."""
        self.run("podman", "rmi", "--all", "--force")
        self.run("umount", self.folder / "images" / "overlay")
