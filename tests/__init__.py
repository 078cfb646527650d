"""The tests. A package, so that two files of one name in two rooms stay apart."""
