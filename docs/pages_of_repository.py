"""A hook of MkDocs: the pages are the repository's Markdown files, each at the path that it has there."""

import pathlib

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGES = ("*.md", "apps/*/README.md", "data/**/README.md", "docs/**/*.md")
LINKED = ("docs/notebooks/*.ipynb", "docs/**/*.jpg", "docs/**/*.png", "docs/**/*.svg", "deploy/**/*.*")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Put the repository's pages and the files they link to in place of those of ``docs_dir``; the theme's stay."""
    paths = sorted({path for pattern in (*PAGES, *LINKED) for path in ROOT.glob(pattern)})
    ours = [
        File(path.relative_to(ROOT).as_posix(), str(ROOT), config.site_dir, config.use_directory_urls) for path in paths
    ]
    others = [
        file
        for file in files
        if not file.abs_src_path or not pathlib.Path(file.abs_src_path).is_relative_to(ROOT / "docs")
    ]
    return Files([*others, *ours])
