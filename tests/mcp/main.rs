//! MCP both ways: modules of `type = "mcp"` around a server that does everything wrong, and `bulkhead mcp` towards a
//! client that is written by hand.

mod client;
mod facade;
mod module;
