"""Pool threads."""

from threeways.functions import define

define("threads")
