# SPDX-License-Identifier: Apache-2.0
"""Executes the notebooks of docs/examples and writes them as pages with their outputs, and as .ipynb.

Usage: notebooks.py NOTEBOOK.md... OUTPUT_FOLDER

A notebook is Markdown with cells ```{code-cell}, the text format of jupytext and MyST-NB, so that a change
of one is reviewed as text. Jupyter executes it: the kernel of this Python, in an empty folder, with no
settings of the user. The page has the outputs behind each cell: text, tables of pandas, pictures. A cell
that fails, writes to standard error, or draws without an alternative text ends with exit status 1.

Needs nbclient and ipykernel; the kernel imports escapement from PYTHONPATH.
"""
import base64
import os
import pathlib
import re
import sys
import tempfile

import nbformat
import yaml
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

FRONT = re.compile(r"\A---\n(.*?)^---\n", re.S | re.M)
CELL = re.compile(r"^```\{code-cell\}[^\n]*\n(?:---\n(.*?)^---\n)?(.*?)^```$\n?", re.S | re.M)
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
SECONDS_MAX = 600  # of a cell; only a cell that hangs takes so long
# Sharp pictures at the size that the notebook asks for.
IPYTHON = "c.InlineBackend.figure_formats = ['retina']\nc.HistoryManager.enabled = False\n"


class NotebookError(Exception):
    """A notebook that is no page."""


def read(path):
    """The notebook of a text."""
    source = path.read_text(encoding="utf-8")
    front = FRONT.match(source)
    cells, end = [], front.end() if front else 0
    for match in CELL.finditer(source):
        cells.append(nbformat.v4.new_markdown_cell(source[end:match.start()].strip()))
        metadata = yaml.safe_load(match[1]) if match[1] else {}
        cells.append(nbformat.v4.new_code_cell(match[2].strip("\n"), metadata=metadata))
        end = match.end()
    cells.append(nbformat.v4.new_markdown_cell(source[end:].strip()))
    cells = [cell for cell in cells if cell.source]
    for number, cell in enumerate(cells):
        cell.id = f"cell-{number}"  # not random: the same text makes the same notebook
    return nbformat.v4.new_notebook(cells=cells, metadata={
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}})


def execute(notebook, name):
    """With settings and files in a folder that is removed."""
    with tempfile.TemporaryDirectory() as folder:
        for variable in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR"):
            os.environ[variable] = os.path.join(folder, variable.lower())
        os.environ["JUPYTER_NO_CONFIG"] = "1"
        os.environ["PYDEVD_DISABLE_FILE_VALIDATION"] = "1"  # a warning of the kernel's debugger
        os.environ.pop("MPLBACKEND", None)  # pictures are for the notebook
        profile = pathlib.Path(folder, "ipythondir", "profile_default")
        profile.mkdir(parents=True)
        (profile / "ipython_config.py").write_text(IPYTHON)
        work = pathlib.Path(folder, "work")
        work.mkdir()
        try:
            NotebookClient(notebook, timeout=SECONDS_MAX, kernel_name="python3",
                           resources={"metadata": {"path": str(work)}}).execute()
        except CellExecutionError as error:
            raise NotebookError(f"{name}: {COLOUR.sub('', str(error))}") from error
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)  # times, which differ from run to run


def fenced(text):
    return f"```text\n{text.rstrip()}\n```\n"


def table(html):
    """A table of pandas in the style of the page's other tables."""
    html = re.sub(r"<style scoped>.*?</style>\n?", "", html, flags=re.S)
    html = html.replace('<table border="1" class="dataframe">', '<table class="docutils">')
    return f"```{{raw}} html\n{html}\n```\n"


def picture(output, cell, name):
    """The picture's file, and the Markdown that shows it at the size that the notebook asked for."""
    alt = cell.metadata.get("mystnb", {}).get("image", {}).get("alt")
    if not alt:
        raise NotebookError(f"{name}: a picture without mystnb.image.alt in its cell: {cell.source[:60]}")
    name.with_suffix(".png").write_bytes(base64.b64decode(output.data["image/png"]))
    width = output.metadata.get("image/png", {}).get("width")
    size = f":width: {width}px\n" if width else ""
    return f"```{{image}} {name.with_suffix('.png').name}\n:alt: {alt}\n{size}```\n"


def rendered(output, cell, name):
    """One output as Markdown."""
    if output.output_type == "stream":
        if output.name == "stderr":
            raise NotebookError(f"{name}: a cell writes to standard error: {output.text}")
        return fenced(output.text)
    data = output.data
    if "image/png" in data:
        return picture(output, cell, name)
    if 'class="dataframe"' in data.get("text/html", ""):
        return table(data["text/html"])
    return fenced(data["text/plain"])


def page(notebook, target):
    """The notebook as Markdown, its pictures beside it."""
    parts = []
    for number, cell in enumerate(notebook.cells):
        if cell.cell_type == "markdown":
            parts.append(cell.source + "\n")
            continue
        parts.append(f"```python\n{cell.source}\n```\n")
        parts += [rendered(output, cell, target.with_name(f"{target.stem}-{number}-{i}"))
                  for i, output in enumerate(cell.outputs)]
    title, rest = parts[0].split("\n", 1)
    note = f"{{download}}`Jupyter notebook <{target.stem}.ipynb>` of this page.\n"
    return "\n".join([title, "", note, rest, *parts[1:]])


def main(*arguments):
    *sources, folder = map(pathlib.Path, arguments)
    folder.mkdir(parents=True, exist_ok=True)
    for source in sources:
        target = folder / source.name
        try:
            notebook = read(source)
            execute(notebook, source)
            target.write_text(page(notebook, target), encoding="utf-8")
            nbformat.write(notebook, target.with_suffix(".ipynb"))
        except NotebookError as error:
            print(f"notebooks.py: {error}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
