"""Everything that the search was measured by, one part after another.

    python benchmarks/search.py                                  random and drawn vectors, a service over fakes
    python benchmarks/search.py --run runs/small --data synvi-1  also the accuracy of the exports, and the real service
    python benchmarks/search.py --only service --run runs/small --data synvi-1

The parts are search_embedding.py, search_gallery.py and search_service.py, which say what they do. With a run, the
service is asked once with PyTorch and once with the exported model, for infrared test images, over a gallery of the
visible ones.
"""

from __future__ import annotations

import argparse
import csv
import subprocess
import sys
import tempfile
from pathlib import Path

from vireid.data.layouts import open_dataset
from vireid.types import Modality

HERE = Path(__file__).parent
PARTS = ("embedding", "gallery", "service")
VIREID = str(Path(sys.executable).with_name("vireid"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--run", type=Path, help="a trained run")
    parser.add_argument("--data", type=Path, help="its data set")
    options = parser.parse_args()
    if (options.run is None) != (options.data is None):
        parser.error("expected --run and --data together")
    of_run = [] if options.run is None else [f"--run={options.run}", f"--data={options.data}"]
    if "embedding" in options.only:
        script("search_embedding.py")
        if of_run:
            script("search_embedding.py", *of_run)
    if "gallery" in options.only:
        script("search_gallery.py")
    if "service" in options.only:
        script("search_service.py", "--fake")
        if of_run:
            with tempfile.TemporaryDirectory() as folder:
                service(Path(folder), options.run, options.data)


def script(name: str, *arguments: str) -> None:
    """Run another script of this folder and say which."""
    print(f"\n`python benchmarks/{' '.join((name, *arguments))}`\n", flush=True)
    subprocess.run([sys.executable, str(HERE / name), *arguments], check=True)


def service(folder: Path, run: Path, data: Path) -> None:
    """Ask a service over the visible test images for the infrared ones, with the run and with its export."""
    test = open_dataset(data).test
    queries = folder / "queries"
    queries.mkdir()
    with (folder / "visible.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["path", "modality", "camera"])
        for number, sample in enumerate(test):
            path = (data / sample.path).resolve()
            if sample.modality is Modality.VISIBLE:
                rows.writerow([path, "visible", f"c{sample.camera}"])
            else:
                (queries / f"{number}{path.suffix}").symlink_to(path)
    exported = folder / "onnx"
    vireid("export", str(run), "--out", str(exported), "--data", str(data))
    for model in (run, exported):
        store = folder / f"store-{model.name}"
        vireid("gallery", "add", str(store), "--manifest", str(folder / "visible.csv"), "--model", str(model))
        script("search_service.py", f"--store={store}", f"--model={model}", f"--images={queries}")


def vireid(*arguments: str) -> None:
    subprocess.run([VIREID, *arguments], check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
