//! Every request gets exactly one answer, and the answer tells the truth about how far it got.
