package shell

import "mvdan.cc/sh/v3/syntax"

// A Node is one node of the syntax with the way to the one it is part of.
type Node struct {
	syntax.Node
	Parent int // in Script.Nodes; -1 for the script itself
}

// flatten lists all nodes in the order of the text.
func flatten(f *syntax.File) []Node {
	var out []Node
	var open []int
	syntax.Walk(f, func(n syntax.Node) bool {
		if n == nil {
			open = open[:len(open)-1]
			return true
		}
		parent := -1
		if len(open) > 0 {
			parent = open[len(open)-1]
		}
		open = append(open, len(out))
		out = append(out, Node{n, parent})
		return true
	})
	return out
}

// Up calls fn for the nodes around node i, the innermost first, until it returns
// false.
func (s *Script) Up(i int, fn func(i int, n syntax.Node) bool) {
	for i = s.Nodes[i].Parent; i >= 0; i = s.Nodes[i].Parent {
		if !fn(i, s.Nodes[i].Node) {
			return
		}
	}
}
