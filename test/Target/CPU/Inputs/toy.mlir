// The smallest library: a forward that looks up an embedding row, a head that
// returns the hidden row.
module attributes {treadle.model = #treadle.model<
    family = "toy", vocabulary = 4, hidden = 4, capacity = 8, config_capacity = 8, max_loops = 1,
    config_loops = 1, eos = [3], info = "{\"parameters\": 16}">} {
  treadle.weight @embedding : !treadle.weight<4x4xf32, plain> from ["embedding"]
  treadle.state @ids : !treadle.state<append, 8xi32>
  treadle.state @mask : !treadle.state<append, 8xi8>

  func.func private @look_up(%table: memref<4x4xf32>, %ids: memref<1xi32>, %out: memref<1x4xf32>) {
    %c0 = arith.constant 0 : index
    %id = memref.load %ids[%c0] : memref<1xi32>
    %row = arith.index_cast %id : i32 to index
    %v = vector.load %table[%row, %c0] : memref<4x4xf32>, vector<4xf32>
    vector.store %v, %out[%c0, %c0] : memref<1x4xf32>, vector<4xf32>
    return
  }
  func.func @forward_1(%arena: memref<0xi8>, %states: memref<128xi8>, %weights: memref<64xi8>,
                       %ids: memref<1xi32>, %mask: memref<1xi8>, %out: memref<1x4xf32>,
                       %position: index, %valid: index, %passes: index)
      attributes {treadle.entry = #treadle.entry<forward, rows = 1>, treadle.arena_bytes = 0 : i64} {
    %c0 = arith.constant 0 : index
    %table = memref.view %weights[%c0][] : memref<64xi8> to memref<4x4xf32>
    call @look_up(%table, %ids, %out) : (memref<4x4xf32>, memref<1xi32>, memref<1x4xf32>) -> ()
    return
  }
  func.func @head_1(%arena: memref<0xi8>, %states: memref<128xi8>, %weights: memref<64xi8>,
                    %hidden: memref<1x4xf32>, %mask: memref<1xi8>, %out: memref<1x4xf32>,
                    %position: index, %valid: index, %passes: index)
      attributes {treadle.entry = #treadle.entry<head, rows = 1>, treadle.arena_bytes = 0 : i64} {
    %c0 = arith.constant 0 : index
    %v = vector.load %hidden[%c0, %c0] : memref<1x4xf32>, vector<4xf32>
    %s = math.exp %v : vector<4xf32>
    vector.store %s, %out[%c0, %c0] : memref<1x4xf32>, vector<4xf32>
    return
  }
}
