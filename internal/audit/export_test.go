package audit

// Fdatasync lets the benchmark measure the disk with the same call.
var Fdatasync = fdatasync
