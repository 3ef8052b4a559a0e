"""Table 4: comparison on RegDB, both directions."""

from vireid.reproduce.comparison import COLUMNS, Comparison
from vireid.reproduce.items import Item

TITLES = ("Visible to thermal", "Thermal to visible")
TABLE = Comparison("table4", "regdb", TITLES, ("v2t", "t2v"), ("regdb_v2t", "regdb_t2v"))
ITEM = Item(TABLE.runs, TABLE.make, COLUMNS)
