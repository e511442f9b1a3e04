"""From the text of a statement to its canonical text and fingerprint, in compiled code."""
