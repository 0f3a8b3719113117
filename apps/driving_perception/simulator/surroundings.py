"""What surrounds the bodies of a scene: sky and ground before they are drawn, light, air and lens after."""
