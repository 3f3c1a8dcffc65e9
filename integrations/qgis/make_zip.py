"""Write the plugin as a zip file, which QGIS installs under Plugins > Install from ZIP."""

from __future__ import annotations

import argparse
import zipfile
from pathlib import Path

PLUGIN = Path(__file__).with_name('tfinet_qgis')
LICENSE = Path(__file__).parents[2] / 'LICENSE'
SUFFIXES = '.py', '.svg', '.txt'
# One date for all files, so that the same files give the same zip.
DATE = (2020, 1, 1, 0, 0, 0)


def main() -> None:
    """Write the file that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('out', type=Path, metavar='FILE.zip')
    out: Path = parser.parse_args().out
    out.parent.mkdir(parents=True, exist_ok=True)
    files = sorted(path for path in PLUGIN.rglob('*') if path.suffix in SUFFIXES)
    names = {str(path.relative_to(PLUGIN.parent).as_posix()): path for path in files}
    names[f'{PLUGIN.name}/LICENSE'] = LICENSE
    with zipfile.ZipFile(out, 'w', zipfile.ZIP_DEFLATED) as archive:
        for name, path in names.items():
            entry = zipfile.ZipInfo(name, DATE)
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, path.read_bytes(), zipfile.ZIP_DEFLATED)
    print(f'{len(names)} files: {out}')


if __name__ == '__main__':
    main()
