mod objects;
mod wires;
