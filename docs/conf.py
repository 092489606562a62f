# SPDX-License-Identifier: Apache-2.0
"""Sphinx's configuration of the manual, for the Sphinx (5.3) and MyST (0.18) of Debian 12.

The HTML pages need no network. MathJax sets their formulas; it is not loaded from a server but
copied from Debian's package libjs-mathjax into the pages, without the fonts and input formats that
they do not use: 54 MB become 4. sphinx.ext.imgmath would make pictures that need no script, but
needs a TeX installation of several hundred MB and gives formulas that neither scale nor can be
searched.
"""
import pathlib
import re
import shutil

ROOT = pathlib.Path(__file__).resolve().parent.parent
MATHJAX = pathlib.Path("/usr/share/javascript/mathjax")  # Debian's libjs-mathjax, version 2.7
MATHJAX_PARTS = ("MathJax.js", "config/TeX-AMS_SVG.js", "extensions", "jax/element",
                 "jax/input/TeX", "jax/output/SVG/autoload", "jax/output/SVG/config.js",
                 "jax/output/SVG/fonts/TeX", "jax/output/SVG/jax.js")

project = "escapement"
author = "The escapement maintainers"
project_copyright = "The escapement maintainers. Apache License 2.0"
release = re.search(r"project\(escapement VERSION ([0-9.]+)",
                    (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")).group(1)

extensions = ["myst_parser", "sphinx.ext.mathjax", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["CMakeLists.txt"]
myst_enable_extensions = ["amsmath", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
myst_update_mathjax = False
nitpicky = True
# The Python package is imported from the build tree (docs/CMakeLists.txt). Its docstrings name types and
# arguments too, which have no page here; what is written as escapement.NAME must have one.
nitpick_ignore_regex = [("py:.*", r"(?!escapement\.).*")]
default_role = "py:obj"
autodoc_typehints = "none"
autodoc_member_order = "bysource"
napoleon_google_docstring = False
# Addresses that a check of the links may find unreachable are few: papers, and the licence.
linkcheck_timeout = 20
linkcheck_retries = 2

html_theme = "furo"
html_title = f"escapement {release}"
html_static_path = ["_static"]
html_css_files = ["manual.css"]
html_copy_source = False
html_show_sphinx = False
html_last_updated_fmt = None
mathjax_path = "mathjax/MathJax.js?config=TeX-AMS_SVG"
mathjax2_config = {"messageStyle": "none", "showMathMenu": False}


def copy_mathjax(app, exception):
    """Copies MATHJAX_PARTS behind the pages, where mathjax_path looks for them."""
    if exception is not None or app.builder.format != "html":
        return
    target = pathlib.Path(app.outdir, "_static", "mathjax")
    for part in MATHJAX_PARTS:
        source, copy = MATHJAX / part, target / part
        copy.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, copy, dirs_exist_ok=True)
        else:
            shutil.copyfile(source, copy)


def require_mathjax(app):
    """Refuses to make pages whose formulas nobody could read."""
    if app.builder.format == "html" and not (MATHJAX / "MathJax.js").is_file():
        raise OSError(f"{MATHJAX}/MathJax.js is missing; Debian's package libjs-mathjax has it")


def setup(app):
    app.connect("builder-inited", require_mathjax)
    app.connect("build-finished", copy_mathjax)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
