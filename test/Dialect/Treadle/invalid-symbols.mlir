// RUN: treadle-opt %s --split-input-file --verify-diagnostics
// One symbol or function per numbered constraint of the symbols and the references to them.

// expected-error@+1 {{expects positive slot dimensions, got 0}}
treadle.weight @weight_c1 : !treadle.weight<16xf32, plain> slots [2, 0] from []

// -----

// expected-error@+1 {{expects at most 2^48 elements in all slots}}
treadle.weight @weight_c1_overflow : !treadle.weight<16xf32, plain> slots [4294967296, 4294967296] from []

// -----

// expected-error@+1 {{expects 4 sources, one per slot, or a multiple, got 3}}
treadle.weight @weight_c2 : !treadle.weight<16xf32, plain> slots [2, 2] from ["a", "b", "c"]

// -----

// expected-error@+1 {{expects 1 sources, one per slot, or a multiple, got 0}}
treadle.weight @weight_c2_single : !treadle.weight<16xf32, plain> from []

// -----

// expected-error@+1 {{expects slots that divide into 3 sources, got '!treadle.weight<16xf32, plain>'}}
treadle.weight @weight_c3 : !treadle.weight<16xf32, plain> from ["a", "b", "c"]

// -----

// expected-error@+1 {{expects slots that divide into 2 sources, got '!treadle.weight<f32, plain>'}}
treadle.weight @weight_c3_scalar : !treadle.weight<f32, plain> from ["a", "b"]

// -----

// expected-error@+1 {{expects a view of 8 elements, got #treadle.view<[16], [0]>}}
treadle.weight @weight_c4 : !treadle.weight<16xf32, plain> from ["a", "b"] view #treadle.view<[16], [0]>

// -----

// expected-error@+1 {{expects positive slot dimensions, got -4}}
treadle.state @state_c1 : !treadle.state<append, 8x16xf32> slots [-4]

// -----

// expected-error@+1 {{expects at most 2^48 elements in all slots}}
treadle.state @state_c1_overflow : !treadle.state<append, 16777216x16xf32> slots [16777216]

// -----

// expected-error@+1 {{expects loop_slot to be one of 2 slot dimensions, got 2}}
treadle.state @state_c2 : !treadle.state<append, 8x16xf32> slots [4, 2] loop_slot 2

// -----

// expected-error@+1 {{expects loop_slot to be one of 1 slot dimensions, got -1}}
treadle.state @state_c2_negative : !treadle.state<append, 8x16xf32> slots [4] loop_slot -1

// -----

// expected-error@+1 {{expects a lead of 0 to 8 rows, got 9}}
treadle.state @state_c3 : !treadle.state<append, 8x16xf32> lead 9

// -----

// expected-error@+1 {{expects a lead of 0 to 0 rows, got 1}}
treadle.state @state_c3_fixed : !treadle.state<fixed, 8x16xf32> lead 1

// -----

// expected-error@+1 {{expects by_turn, initial and fill on fixed states only}}
treadle.state @state_c4 : !treadle.state<ring, 8x16xf32> by_turn

// -----

// expected-error@+1 {{expects either initial or fill}}
treadle.state @state_c4_both : !treadle.state<fixed, 2xi32> initial @w fill -1

// -----

treadle.weight @w : !treadle.weight<8x16xf32, plain> from ["w"]
// expected-error@+1 {{expects @w to be a plain weight of the state's shape and slots, of f32}}
treadle.state @state_c5 : !treadle.state<fixed, 4x16xf32> initial @w

// -----

// expected-error@+1 {{expects fill on a state of i32, got '!treadle.state<fixed, 8x16xf32>'}}
treadle.state @state_c6 : !treadle.state<fixed, 8x16xf32> fill -1

// -----

treadle.state @w : !treadle.state<fixed, 16xf32>
func.func @get_weight_c1() {
  // expected-error@+1 {{expects @w to be a treadle.weight}}
  %0 = treadle.get_weight @w : !treadle.weight<16xf32, plain>
  return
}

// -----

treadle.weight @w : !treadle.weight<16xf32, plain> from ["w"]
func.func @get_weight_c1_type() {
  // expected-error@+1 {{expects the type of @w, '!treadle.weight<16xf32, plain>', got '!treadle.weight<16xbf16, plain>'}}
  %0 = treadle.get_weight @w : !treadle.weight<16xbf16, plain>
  return
}

// -----

treadle.weight @w : !treadle.weight<16xf32, plain> slots [2] from ["a", "b"]
func.func @get_weight_c2() {
  // expected-error@+1 {{expects 1 indices into the slots of @w, got 0}}
  %0 = treadle.get_weight @w : !treadle.weight<16xf32, plain>
  return
}

// -----

func.func @get_state_c1() {
  // expected-error@+1 {{expects @missing to be a treadle.state}}
  %0 = treadle.get_state @missing : !treadle.state<fixed, 16xf32>
  return
}

// -----

treadle.state @s : !treadle.state<ring, 3x16xf32>
func.func @get_state_c1_type() {
  // expected-error@+1 {{expects the type of @s, '!treadle.state<ring, 3x16xf32>', got '!treadle.state<append, 3x16xf32>'}}
  %0 = treadle.get_state @s : !treadle.state<append, 3x16xf32>
  return
}

// -----

treadle.state @s : !treadle.state<fixed, 16xf32>
func.func @get_state_c2(%i: index) {
  // expected-error@+1 {{expects 0 indices into the slots of @s, got 1}}
  %0 = treadle.get_state @s[%i] : !treadle.state<fixed, 16xf32>
  return
}
