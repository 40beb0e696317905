// Package deploy has tests of packaging/ and examples/ alone: what images, charts and pipelines are written in is
// read by the tools' own code.
package deploy
