// Package bench measures servers: PFS on clusters of real processes that it
// starts, or any server of the compatible REST API by URL, with the workloads of
// a table.
//
// Figures depend on the machine, so a Report says what it was and how long a
// write and its fsync take on the disk of the data. A workload that writes reads
// back what was acknowledged, and a run that lost any of it has no figures.
package bench
