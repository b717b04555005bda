"""SMS out: adapters of the text port (`harambee.node.texts`) for Africa's Talking and for SMPP 3.4."""
