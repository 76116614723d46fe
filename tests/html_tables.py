"""The tables of a page, as text, to look a number up by its row and column."""

from html.parser import HTMLParser


class _Tables(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tables: list[list[list[str]]] = []
        self.cell: list[str] | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.cell = []
        elif tag in ("small", "br") and self.cell is not None:
            self.cell.append(" | " if tag == "small" else " ")

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th") and self.cell is not None:
            self.tables[-1][-1].append("".join(self.cell))
            self.cell = None

    def handle_data(self, data: str) -> None:
        if self.cell is not None:
            self.cell.append(data)


def read_tables(html: str) -> list[list[dict[str, str]]]:
    """Each table's rows as {column: cell}. Small print in a cell stands after " | ", a line break is a space."""
    parser = _Tables()
    parser.feed(html)
    return [[dict(zip(head, row, strict=True)) for row in rows] for head, *rows in parser.tables]
