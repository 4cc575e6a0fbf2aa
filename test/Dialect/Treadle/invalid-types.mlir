// RUN: treadle-opt %s --split-input-file --verify-diagnostics
// One function per numbered constraint of a type or an attribute.

// expected-error@+1 {{expects storage type f32 or bf16, got 'i32'}}
func.func private @weight_type_c1(!treadle.weight<16x16xi32, panels>)

// -----

// expected-error@+1 {{expects positive dimensions, got 0}}
func.func private @weight_type_c2(!treadle.weight<16x0xf32, panels>)

// -----

// expected-error@+1 {{expects at most 2^48 elements}}
func.func private @weight_type_c2_overflow(!treadle.weight<4294967296x4294967296xf32, panels>)

// -----

// expected-error@+1 {{expects a matrix or a stack of matrices (rank 2 or 3) in panels, got rank 1}}
func.func private @weight_type_c3(!treadle.weight<16xf32, panels>)

// -----

// expected-error@+1 {{expects element type f32, bf16, i8 or i32, got 'f64'}}
func.func private @state_type_c1(!treadle.state<fixed, 16xf64>)

// -----

// expected-error@+1 {{expects element type f32, bf16, i8 or i32, got 'si8'}}
func.func private @state_type_c1_signed(!treadle.state<fixed, 16xsi8>)

// -----

// expected-error@+1 {{expects positive dimensions, got 0}}
func.func private @state_type_c2(!treadle.state<append, 0x16xf32>)

// -----

// expected-error@+1 {{expects at most 2^48 elements}}
func.func private @state_type_c2_overflow(!treadle.state<append, 9223372036854775807x16xf32>)

// -----

// expected-error@+1 {{expects a row dimension in a state of kind ring}}
func.func private @state_type_c3(!treadle.state<ring, f32>)

// -----

// expected-error@+1 {{expects an append state of rank 2 of f32 or bf16 in panels}}
func.func private @state_type_c4(!treadle.state<ring, 16x8xf32, panels>)

// -----

// expected-error@+1 {{expects an append state of rank 2 of f32 or bf16 in panels}}
func.func private @state_type_c4_element(!treadle.state<append, 16x8xi8, panels>)

// -----

// expected-error@+1 {{expects a row count, or 0 where it is open, got -1}}
func.func private @entry_attr_c1() attributes {treadle.entry = #treadle.entry<forward, rows = -1>}

// -----

// expected-error@+1 {{expects treadle.entry to be a #treadle.entry of a function}}
func.func private @entry_attr_c2() attributes {treadle.entry = 16 : i64}

// -----

func.func @entry_attr_c2_place() {
  // expected-error@+1 {{expects treadle.entry to be a #treadle.entry of a function}}
  %c0 = arith.constant {treadle.entry = #treadle.entry<head, rows = 1>} 0 : index
  return
}

// -----

// expected-error@+1 {{expects an iteration dimension, 'all' or 'position', got -3}}
func.func private @access_attr_c1() attributes {test.access = #treadle.access<0, -3>}

// -----

// expected-error@+1 {{expects an iteration dimension, 'all' or 'position', got 'some'}}
func.func private @access_attr_c1_keyword() attributes {test.access = #treadle.access<some>}

// -----

// expected-error@+1 {{expects positive sizes and loop counts, got 0}}
#model_attr_c1 = #treadle.model<family = "x", vocabulary = 8, hidden = 0, capacity = 8,
  config_capacity = 8, max_loops = 1, config_loops = 1, eos = [], info = "{}">
func.func private @model_attr_c1() attributes {test.model = #model_attr_c1}

// -----

// expected-error@+1 {{expects capacities that are positive, got 0}}
#model_attr_c1_capacity = #treadle.model<family = "x", vocabulary = 8, hidden = 4, capacity = 0,
  config_capacity = 8, max_loops = 1, config_loops = 1, eos = [], info = "{}">
func.func private @model_attr_c1_capacity() attributes {test.model = #model_attr_c1_capacity}

// -----

// expected-error@+1 {{expects capacities that are 0 (no limit) in a model with a period, got 8}}
#model_attr_c1_no_limit = #treadle.model<family = "x", vocabulary = 8, hidden = 4, capacity = 0,
  config_capacity = 8, max_loops = 1, config_loops = 1, eos = [], info = "{}", period = 16>
func.func private @model_attr_c1_no_limit() attributes {test.model = #model_attr_c1_no_limit}

// -----

// expected-error@+1 {{expects a period of 0 (none) or more, got -1}}
#model_attr_c1_period = #treadle.model<family = "x", vocabulary = 8, hidden = 4, capacity = 8,
  config_capacity = 8, max_loops = 1, config_loops = 1, eos = [], info = "{}", period = -1>
func.func private @model_attr_c1_period() attributes {test.model = #model_attr_c1_period}

// -----

// expected-error@+1 {{expects ids of eos below the vocabulary of 6, got 6}}
#model_attr_c2 = #treadle.model<family = "x", vocabulary = 8, hidden = 4, capacity = 8,
  config_capacity = 8, max_loops = 1, config_loops = 1, eos = [2, 6], info = "{}", tokens = 6>
func.func private @model_attr_c2() attributes {test.model = #model_attr_c2}

// -----

// expected-error@+1 {{expects 0 to 8 tokens, got 9}}
#model_attr_c2_tokens = #treadle.model<family = "x", vocabulary = 8, hidden = 4, capacity = 8,
  config_capacity = 8, max_loops = 1, config_loops = 1, eos = [], info = "{}", tokens = 9>
func.func private @model_attr_c2_tokens() attributes {test.model = #model_attr_c2_tokens}

// -----

#model = #treadle.model<family = "x", vocabulary = 8, hidden = 4, capacity = 8,
  config_capacity = 8, max_loops = 1, config_loops = 1, eos = [2], info = "{}">
// expected-error@+1 {{expects treadle.model to be a #treadle.model of a module}}
func.func private @model_attr_c3() attributes {treadle.model = #model}

// -----

// expected-error@+1 {{expects treadle.model to be a #treadle.model of a module}}
module @model_attr_c3_kind attributes {treadle.model = "miniaxion"} {}

// -----

// expected-error@+1 {{expects positive dimensions, got 0}}
func.func private @view_attr_c1() attributes {view = #treadle.view<[4, 0], [0, 1]>}

// -----

// expected-error@+1 {{expects an order that is a permutation of 2 dimensions}}
func.func private @view_attr_c2() attributes {view = #treadle.view<[4, 8], [0, 0]>}

// -----

// expected-error@+1 {{expects an order that is a permutation of 2 dimensions}}
func.func private @view_attr_c2_rank() attributes {view = #treadle.view<[4, 8], [0]>}

// -----

// expected-error@+1 {{expects one call or more, got 0}}
func.func private @work_attr_c1() attributes {treadle.stages = [#treadle.work<name = "a", calls = 0>]}

// -----

// expected-error@+1 {{expects a number of bytes or operations, got -1}}
func.func private @work_attr_c1_flops() attributes {treadle.stages = [#treadle.work<name = "a", calls = 1, flops = -1>]}

// -----

// expected-error@+1 {{expects names of symbols, got [1]}}
func.func private @work_attr_c2() attributes {treadle.stages = [#treadle.work<name = "a", calls = 1, weights = [1]>]}

// -----

// expected-error@+1 {{expects treadle.stages to be a list of #treadle.work of a function}}
func.func private @work_attr_c3() attributes {treadle.stages = [1]}
