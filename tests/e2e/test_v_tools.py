"""tools/install-deps, with programs in the place of those that would install."""
import os
import shutil
import subprocess

import pytest
from setting import REPOSITORY


@pytest.fixture
def install_deps(tmp_path):
    """Runs it for the tests' group, in a directory of its own where nothing is installed: the commands that it gave."""
    for name in ("tools", "bin"):
        (tmp_path / name).mkdir()
    shutil.copy(REPOSITORY / "tools" / "install-deps", tmp_path / "tools")
    (tmp_path / "package-lock.json").write_text("{}")
    (tmp_path / "node_modules").mkdir()
    for name in ("npm", "dpkg-query", "apt-get", "sudo"):
        (tmp_path / "bin" / name).write_text(f'#!/bin/sh\necho "{name} $*" >> "{tmp_path}/called"\n')
        (tmp_path / "bin" / name).chmod(0o755)

    def run():
        subprocess.run([tmp_path / "tools" / "install-deps", "tests"], stdin=subprocess.DEVNULL, capture_output=True,
                       env={**os.environ, "PATH": f"{tmp_path}/bin:{os.environ['PATH']}"})
        return (tmp_path / "called").read_text()
    return run


@pytest.mark.parametrize("linked", [False, True], ids=["own", "linked"])
def test_node_modules_of_another_work_tree_are_left_alone(install_deps, tmp_path, linked):
    """`npm ci` empties node_modules first, through a link as well."""
    if linked:
        (tmp_path / "node_modules").rename(tmp_path / "theirs")
        (tmp_path / "node_modules").symlink_to("theirs")
    assert ("npm ci" in install_deps()) is not linked


def test_another_apt_is_waited_for(install_deps):
    """Of itself, apt-get ends at once: "Could not get lock"."""
    assert "-o DPkg::Lock::Timeout=300" in next(line for line in install_deps().splitlines() if "apt-get install" in line)
