package migrate

func (e *Engine) planDown(from, to string) ([]segment, error) { return nil, nil }
