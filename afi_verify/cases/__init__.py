"""Golden cases: problems with certified answers in a file, so that code in any language can be verified.

``export`` makes the file, ``judging`` gives verdicts on answers that come back; docs/golden-cases.md is the schema.
"""
