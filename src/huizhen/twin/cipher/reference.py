from huizhen.twin.cipher.pack import Pack

REFERENCE = Pack("a usual device", None, {}, {})
