"""What people read on their telephones: the known wording, in their language, fit for an SMS.

Pure functions from facts to text. Who sends a text, when and through what is `node.courier`.
"""
