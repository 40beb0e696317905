// Package agents tries Assent's hooks with the coding agents themselves. Its tests take
// packages of some hundred megabytes, so they have a build tag: run scripts/agents.
package agents
