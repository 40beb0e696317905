//go:build !hyperscan

package main

import "fmt"

func hyperscan() ([]side, error) {
	fmt.Println("Hyperscan is not compared: this build has no libhyperscan (scripts/install bench)")
	return nil, nil
}
