package main

import (
	"fmt"
	"slices"
)

// median is the middle of list, or the mean of the two in the middle; 0 of none.
func median(list []float64) float64 {
	if len(list) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(list))
	m := len(s) / 2
	if len(s)%2 == 0 {
		return (s[m-1] + s[m]) / 2
	}
	return s[m]
}

// ratios gives each median as a multiple of the least; 0 where there is none.
func ratios(times [][]float64) []float64 {
	least := 0.0
	for _, t := range times {
		if m := median(t); m > 0 && (least == 0 || m < least) {
			least = m
		}
	}
	out := make([]float64, len(times))
	for i, t := range times {
		if least > 0 {
			out[i] = median(t) / least
		}
	}
	return out
}

func printTimes(workload string, tools []tool, results [][]result) {
	times := make([][]float64, len(results))
	for i, list := range results {
		for _, r := range list {
			times[i] = append(times[i], r.seconds)
		}
	}
	for i, ratio := range ratios(times) {
		if len(times[i]) == 0 {
			continue
		}
		peak := int64(0)
		for _, r := range results[i] {
			peak = max(peak, r.peak)
		}
		fmt.Printf("%-12s %-10s %9.3f %9.3f %6.2fx %8d\n", workload, tools[i].name, median(times[i]), slices.Min(times[i]), ratio, peak>>20)
	}
}
