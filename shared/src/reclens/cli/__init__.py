"""The command ``reclens``. One module per group of commands, loaded when it is called."""
