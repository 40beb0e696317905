package kubernetes

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// parseYAML reads one document of plain YAML. Anchors, aliases, tags and merge
// keys are refused, and so is a key twice: parsers differ about them. Plain words
// stay text, so that yes and on are never taken for false.
func parseYAML(body []byte) (any, error) {
	if len(body) > maxYAML {
		return nil, refuse(http.StatusRequestEntityTooLarge, "YAML of more than %d bytes is not taken; send it as JSON", maxYAML)
	}
	f, err := parser.ParseBytes(body, 0)
	if err != nil {
		return nil, refuse(http.StatusBadRequest, "the body is not YAML; send it as JSON")
	}
	if len(f.Docs) != 1 || f.Docs[0].Body == nil {
		return nil, refuse(http.StatusBadRequest, "the body is not one YAML document")
	}
	return node(f.Docs[0].Body, 0)
}

const maxYAML = 256 << 10

func node(n ast.Node, depth int) (any, error) {
	if depth > 100 {
		return nil, refuse(http.StatusBadRequest, "the YAML is nested too deep")
	}
	switch n := n.(type) {
	case *ast.MappingNode:
		return mapping(n.Values, depth)
	case *ast.MappingValueNode:
		return mapping([]*ast.MappingValueNode{n}, depth)
	case *ast.SequenceNode:
		out := []any{}
		for _, e := range n.Values {
			v, err := node(e, depth+1)
			if err != nil {
				return nil, err
			}
			out = append(out, v)
		}
		return out, nil
	case *ast.NullNode:
		return nil, nil
	case *ast.BoolNode:
		return n.Value, nil
	case *ast.IntegerNode:
		if _, err := strconv.ParseInt(n.Token.Value, 10, 64); err == nil {
			return json.Number(n.Token.Value), nil
		}
		return n.Token.Value, nil
	case *ast.FloatNode:
		return n.Token.Value, nil
	case *ast.StringNode:
		return n.Value, nil
	case *ast.LiteralNode:
		return n.Value.Value, nil
	}
	return nil, refuse(http.StatusBadRequest, "the YAML has an anchor, alias, tag, merge key or number that parsers differ about; send it as JSON")
}

func mapping(values []*ast.MappingValueNode, depth int) (any, error) {
	out := map[string]any{}
	for _, m := range values {
		var key string
		switch k := m.Key.(type) {
		case *ast.StringNode:
			key = k.Value
		case *ast.IntegerNode, *ast.BoolNode, *ast.FloatNode, *ast.NullNode:
			key = k.GetToken().Value
		default:
			return nil, refuse(http.StatusBadRequest, "the YAML has a key that is no plain word; send it as JSON")
		}
		if _, is := out[key]; is {
			return nil, refuse(http.StatusBadRequest, "the YAML has a key twice")
		}
		if strings.HasPrefix(key, "<<") {
			return nil, refuse(http.StatusBadRequest, "the YAML has a merge key; send it as JSON")
		}
		v, err := node(m.Value, depth+1)
		if err != nil {
			return nil, err
		}
		out[key] = v
	}
	return out, nil
}
