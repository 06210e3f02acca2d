"""tools/install-deps, with programs in the place of those that would install."""
import os
import shutil
import subprocess

import pytest
from setting import REPOSITORY


@pytest.mark.parametrize("linked", [False, True], ids=["own", "linked"])
def test_node_modules_of_another_work_tree_are_left_alone(tmp_path, linked):
    """`npm ci` empties node_modules first, through a link as well."""
    for name in ("tools", "bin", "theirs"):
        (tmp_path / name).mkdir()
    shutil.copy(REPOSITORY / "tools" / "install-deps", tmp_path / "tools")
    (tmp_path / "package-lock.json").write_text("{}")
    if linked:
        (tmp_path / "node_modules").symlink_to("theirs")
    for name in ("npm", "dpkg-query", "apt-get", "sudo"):
        (tmp_path / "bin" / name).write_text(f'#!/bin/sh\necho "{name} $*" >> "{tmp_path}/called"\n')
        (tmp_path / "bin" / name).chmod(0o755)
    subprocess.run([tmp_path / "tools" / "install-deps", "tests"], stdin=subprocess.DEVNULL, capture_output=True,
                   env={**os.environ, "PATH": f"{tmp_path}/bin:{os.environ['PATH']}"})
    assert ("npm ci" in (tmp_path / "called").read_text()) is not linked
