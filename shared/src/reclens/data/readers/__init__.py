"""The formats that RecLens reads, one module each: ``locate`` finds the files, ``read`` reads them.

Each is an entry point of the group ``reclens.readers``, as a format of another package is.
"""
