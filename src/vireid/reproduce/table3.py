"""Table 3: comparison on SYSU-MM01, all and indoor search."""

from vireid.reproduce.comparison import COLUMNS, Comparison
from vireid.reproduce.items import Item

TABLE = Comparison("table3", "sysu", ("All search", "Indoor search"), ("all", "indoor"), ("sysu_all", "sysu_indoor"))
ITEM = Item(TABLE.runs, TABLE.make, COLUMNS)
