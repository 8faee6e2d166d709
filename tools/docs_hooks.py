"""Hooks of the documentation's build: decisions come after the pages that say how something is done."""

from typing import Any


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Weigh decisions and the migration's long lists of calls down in the site's search."""
    weights = {"adr/": 0.2, "contributing/": 0.4, "migration/": 0.6}
    for folder, weight in weights.items():
        if page.file.src_uri.startswith(folder):
            page.meta.setdefault("search", {})["boost"] = weight
    return markdown
