//! The embedded database: one connection that writes in batches, others that read. It has no tables of its own.
