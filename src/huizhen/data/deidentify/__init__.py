"""De-identification: what need not be kept of a record is dropped, made coarser or replaced before it is stored.

`rules` reads what a site declares, `structured.applied` turns the fields of a record into fields that may be kept, `text` finds
identifiers in reports, `dicom` treats headers by PS3.15, `anonymity` measures a table and `lattice` makes it anonymous enough.
All but `keyfile`, `files` and `folders` is pure. Other rooms call `applied`; no other room of `data` that was built on events is
known here.
"""
