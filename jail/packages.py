"""The installed packages that programs may import: those of cfg.sandbox_packages and no other.

The trainer's Python says where each package lies (`locate`), the walls let its folder be read, and
a finder in the zygote imports it from there (`Finder`). The folder around it, site-packages, is
neither on the path nor readable, because other packages may hold test data.

Left out: what a package needs besides its own folder and its compiled libraries (NAME.libs beside
it). List such a package, too.
"""

import contextlib
import importlib.machinery
import importlib.util
import os
import sys
import warnings

PACKAGES = ("sortedcontainers", "numpy")  # what solutions of contests import most
SMALL_BYTES = 1 << 20  # a package of Python files that are no larger is imported before the fork


def locate(names: tuple) -> dict[str, str]:
    """{name: its folder, or its only file}. Warns of a name that is no installed package."""
    found = {}
    for name in names:
        spec = importlib.util.find_spec(name) if name.isidentifier() else None
        if spec is None or not spec.has_location:  # a folder of several owners, or a builtin
            why = f"programs cannot import {name}, for it is not installed; see sandbox_packages"
            warnings.warn(why, stacklevel=3)
        else:
            folders = spec.submodule_search_locations
            found[name] = os.path.realpath(folders[0] if folders else spec.origin)
    return found


def readable_paths(packages: dict[str, str]) -> dict[str, bool]:
    """As in isolation.py: all that lies below these paths may be read."""
    paths = [*packages.values(), *(f"{path}.libs" for path in packages.values())]
    return {path: True for path in paths if os.access(path, os.R_OK)}


class Finder:
    """Finds each package, but none of its neighbours. It stands behind the standard library."""

    def __init__(self, packages: dict[str, str]) -> None:
        self.packages = packages

    def find_spec(self, name: str, path: object = None, target: object = None) -> object:
        place = self.packages.get(name)
        if place is None:
            return None  # submodules are found through their package's own path
        folder = os.path.isdir(place)
        return importlib.util.spec_from_file_location(
            name,
            os.path.join(place, "__init__.py") if folder else place,
            submodule_search_locations=[place] if folder else None,
        )


def is_small(path: str) -> bool:
    """Pure Python, and little of it: then all programs may inherit it, imported."""
    files = [os.path.join(top, name) for top, _, names in os.walk(path) for name in names]
    compiled = tuple(importlib.machinery.EXTENSION_SUFFIXES)
    sizes = [os.path.getsize(file) for file in files or [path]]
    return not any(file.endswith(compiled) for file in files or [path]) and sum(sizes) < SMALL_BYTES


def install(packages: dict[str, str]) -> None:
    """Make the packages importable in this process and its children. Call it behind the walls."""
    sys.meta_path.append(Finder(packages))
    for name, path in packages.items():
        with contextlib.suppress(ImportError, OSError):  # unreadable here, so programs fail, too
            if is_small(path):
                importlib.import_module(name)
