"""PostgreSQL for the tests: where it comes from (`at_hand`), who keeps a server of our own (`keeper`), one database for
each test (`databases`), and the fixtures that hand them out (`fixtures`)."""
