"""Which files an account's path means, and whether they stayed the same while they were read."""

from collections.abc import Sequence
from dataclasses import dataclass
from glob import glob, has_magic
from pathlib import Path
from typing import Final

from shared.costs.focus.errors import bad_file, changed, empty_file, no_file, unreadable

CSV_SUFFIXES: Final = (".csv", ".csv.gz")
PARQUET_SUFFIX: Final = ".parquet"
SUFFIXES: Final = (*CSV_SUFFIXES, PARQUET_SUFFIX)


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file as it was before reading. An export renamed into place differs in `inode`, a growing one in `size`."""

    path: str
    size: int
    modified_ns: int
    inode: int

    @property
    def is_parquet(self) -> bool:
        """Whether to read it as Parquet rather than CSV, by its name."""
        return self.path.lower().endswith(PARQUET_SUFFIX)

    @property
    def is_gzip(self) -> bool:
        """Whether it is compressed, by its name."""
        return self.path.lower().endswith(".gz")


def find_files(pattern: str) -> list[SourceFile]:
    """The files `pattern` (a path or a glob, `**` included) means, sorted by path.

    A glob takes only what ends in a known suffix, so that manifests may lie beside exports. Raises ProviderError when
    there is none, or one is empty or cannot be looked at.
    """
    try:
        paths = _matches(pattern)
    except OSError as error:
        raise unreadable(pattern, error.strerror or str(error)) from None
    if not paths:
        raise no_file(pattern)
    return [_usable(path) for path in paths]


def check_unchanged(files: Sequence[SourceFile]) -> None:
    """Raise ProviderError (passing) when one of `files` is not what it was before the reading."""
    for file in files:
        try:
            unchanged = _look_at(file.path) == file
        except OSError:
            unchanged = False
        if not unchanged:
            raise changed(file.path)


def _matches(pattern: str) -> list[str]:
    if Path(pattern).is_file():
        if not pattern.lower().endswith(SUFFIXES):
            raise bad_file(pattern, f"the name must end in {', '.join(SUFFIXES)}, since it tells the format")
        return [pattern]
    if not has_magic(pattern):
        return []
    found = glob(pattern, recursive=True)  # noqa: PTH207 - Path.glob takes no absolute pattern
    return sorted(path for path in found if path.lower().endswith(SUFFIXES) and Path(path).is_file())


def _usable(path: str) -> SourceFile:
    try:
        file = _look_at(path)
    except OSError as error:
        raise unreadable(path, error.strerror or str(error)) from None
    if file.size == 0:
        raise empty_file(path)
    return file


def _look_at(path: str) -> SourceFile:
    found = Path(path).stat()
    return SourceFile(path, found.st_size, found.st_mtime_ns, found.st_ino)
